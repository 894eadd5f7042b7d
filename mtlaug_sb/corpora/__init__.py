"""Built-in corpora: one file per corpus, named as the corpus is."""
