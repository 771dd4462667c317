"""What other people's pages take: the web component, oEmbed."""
