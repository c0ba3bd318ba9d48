"""Where nights are published: folders of Parquet on a disk, or a Delta table, which may be anywhere."""
