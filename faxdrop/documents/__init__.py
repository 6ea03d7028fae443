"""PDFs: their facts, the copy that is faxed, its picture; read in a process of its own."""
