STATIONS = [{"id": 1, "name": "Harbour"}, {"id": 2, "name": "Airport"}]
