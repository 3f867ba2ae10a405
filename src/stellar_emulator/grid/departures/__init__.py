"""Departures of lines from LTE, computed once at nodes of labels and applied to spectra that were computed in LTE."""
