"""Programs for people: they may use `shared/`, and nothing uses them."""
