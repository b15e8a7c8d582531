"""Similar scenes: what is asked for (state) and the widget that shows them (view)."""
