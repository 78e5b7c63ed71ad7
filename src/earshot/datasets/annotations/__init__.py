"""Label files: the events of recordings, read and written as Audacity, Raven, DCASE, AudioSet and CSV have them."""
