"""What all HTML pages share: the frame, the style sheet, numbers and inline plots."""
