"""What the recorded numbers of a run say, in words: a sentence at each validation, a summary at the end."""
