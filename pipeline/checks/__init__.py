"""What `doctor` looks at: one file a part of what surrounds the function, none imports another but the report."""
