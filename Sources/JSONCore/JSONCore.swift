// JSONCore
