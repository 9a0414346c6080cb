"""Four small methods: a critic, two students, two rounds, two crops of an image."""
