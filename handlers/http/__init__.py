"""HTTP: what each route answers, and how requests are read, authorized and answered."""
