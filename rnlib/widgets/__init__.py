"""Widgets for JupyterLab. What they do is in classes that need no front end; what they show, in ipywidgets.

inspection   which question is looked at, and what a network answers to it (no front end)
inspector    the answer inspector: the same with buttons
words        the words of a question being typed, and questions like it (no front end)
cards        an answer as HTML: picture, best answers, map of pairs, program
browser      the error browser: selections of questions, one by one
monitoring   a training watched, paused, stopped, gone on with (no front end)
monitor      the training monitor: the same with buttons and live curves
retrieval    pictures like one another, by features or by their scenes (no front end)
retrieval_browser  the same with pictures to click
"""
