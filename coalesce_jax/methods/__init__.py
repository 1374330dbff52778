"""The methods, one file each. Every method is a setting of the game."""
