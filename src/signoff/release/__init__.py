"""Release: may this person propose, approve, promote, roll back?"""
