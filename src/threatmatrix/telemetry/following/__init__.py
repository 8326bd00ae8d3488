"""Reading on where the last reading stopped: files that rotate, directories, standard input, Kafka."""
