"""HTML pages to look at: tables and figures, without scripts or links to other hosts."""
