"""What a run goes on from: a lane in a file, when it is written, and how it is taken up."""
