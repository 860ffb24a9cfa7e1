"""Listening tests: pages that ask listeners (MOS, SMOS, MUSHRA, ABX), and what their answers say."""
