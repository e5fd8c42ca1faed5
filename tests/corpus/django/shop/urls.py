from django.urls import include, path

from catalog import views

urlpatterns = [
    path("healthz/", views.healthz),
    path("catalog/", include("catalog.urls")),
    path("articles/", views.articles),
]
