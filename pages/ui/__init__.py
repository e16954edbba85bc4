"""What the pages share: workspace, selection in the URL, pickers, theme, errors, media, the synchronised timeline."""
