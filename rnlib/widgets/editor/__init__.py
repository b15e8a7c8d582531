"""A scene to edit and ask about: what is changed (state) and the widget that shows it (view)."""
