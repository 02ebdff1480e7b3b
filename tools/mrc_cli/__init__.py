"""What every command line of this project shares. It knows neither charts nor TensorFlow."""
