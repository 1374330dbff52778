"""One game for any source of samples."""
