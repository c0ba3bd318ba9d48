"""How far a night has moved from the training: population stability index and the training's baseline."""
