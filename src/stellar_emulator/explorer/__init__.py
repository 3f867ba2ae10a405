"""The explorer: a page in the browser on which labels are moved and the spectrum is drawn live."""
