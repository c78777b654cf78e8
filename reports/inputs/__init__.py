"""What a report reads: cells, scores, published numbers, claims, specifications."""
