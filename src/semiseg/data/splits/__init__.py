"""Which training images keep their masks: seeded splits, lists of names, permutations of other projects."""
