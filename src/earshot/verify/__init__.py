"""Whether what is kept and made is as it was written: the command `earshot verify`."""
