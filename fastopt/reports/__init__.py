"""Pages: one file each, without anything from outside. `page` is the one writer of HTML."""
