"""The files of the page, as browsers take them."""
