"""Widgets for JupyterLab. Each has its logic in `state` (no front end) and its ipywidgets in `view`.

inspector      one question at a time: filter, ask in own words, see what the network answers and why
error_browser  selections of questions, one by one
monitor        a training under way: live curves, pause, stop, resume
editor         a scene to change and to ask about
retrieval      similar pictures, by features or by their scenes
autocomplete   the words of a question being typed, and questions like it
asking         a question of one's own put to a network
panel          what all of them share: rows that wrap, keys, a card for pages without a kernel
answer_html    an answer as HTML: picture, best answers, map of pairs, program
"""
