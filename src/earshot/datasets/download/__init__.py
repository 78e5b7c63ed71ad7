"""Downloads: a card's files from a mirror, the network, a folder or code, verified and unpacked."""
