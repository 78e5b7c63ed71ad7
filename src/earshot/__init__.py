"""earshot: reproducible audio-classification experiments that tell the truth."""
