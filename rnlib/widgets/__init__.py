"""Widgets for JupyterLab. What they do is in classes that need no front end; what they show, in ipywidgets.

inspection   which question is looked at, and what a network answers to it (no front end)
inspector    the answer inspector: the same with buttons
"""
