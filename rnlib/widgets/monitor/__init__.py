"""A training under way: what its folder says (state) and the widget that shows it (view)."""
