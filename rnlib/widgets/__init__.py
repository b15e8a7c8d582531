"""Widgets for JupyterLab. Each has its logic in `state` (no front end) and its ipywidgets in `view`.

inspector      one question at a time: filter, ask in own words, see what the network answers and why
error_browser  selections of questions, one by one
monitor        a training under way: live curves, pause, stop, resume
retrieval      similar pictures, by features or by their scenes
autocomplete   the words of a question being typed, and questions like it
answer_html    an answer as HTML: picture, best answers, map of pairs, program
"""
