"""Four small methods that have more than a student and a teacher, one a file; and a backbone to try them on."""
