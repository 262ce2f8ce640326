"""What a person at a terminal meets: flags and their ranges, progress, escaped text."""
