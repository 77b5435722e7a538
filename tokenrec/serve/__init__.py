"""Answers for one person now: items for a request, people for a new item. Nothing here is measured on."""
