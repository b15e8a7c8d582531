"""One question at a time: what is chosen (state) and the widget that shows it (view)."""
