"""Whether labels leak through anything other than the forgery: `forensics audit`."""
