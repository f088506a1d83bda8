"""After the release: is a canary good enough to go on, has something left its bounds, and what follows?"""
