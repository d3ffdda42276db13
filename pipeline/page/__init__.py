"""The live page and the headers that go with it. Imports nothing."""
