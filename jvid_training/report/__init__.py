"""``jvid report``: strategies side by side on one page of HTML, from sets of clips or a study's folder.

    folders -> inputs -> Content -> page -> one file

The page requests nothing from elsewhere: pictures and script are in it, a policy forbids requests.
"""
