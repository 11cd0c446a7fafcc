"""What is in a body, for people: the content views of mitmproxy's user interfaces."""
