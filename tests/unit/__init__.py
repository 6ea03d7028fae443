"""Tests of one part, without processes of their own."""
