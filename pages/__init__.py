"""The pages of the app: one file a page, one question a page."""
