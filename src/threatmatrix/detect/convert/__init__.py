"""Rules for other people's engines: converted by the pySigma backends, refused where a backend would change a meaning.

``capabilities`` is the table of what each backend does not say as Sigma means it; ``features`` finds in a compiled
rule what the table speaks of; ``readings`` finds what pySigma itself reads otherwise; ``backends`` calls the backend,
an optional part ([convert]).
"""
