"""Recordings as samples: decoded, cut, mixed, transformed to spectra, and made into clips and pictures."""
