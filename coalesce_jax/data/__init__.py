"""Real data: known data sets, users' folders and arrays, splits over nodes."""
