from django.urls import path

from scoring import views

app_name = "scoring"
urlpatterns = [
    path("projects/<slug:project>/runs/", views.runs, name="runs"),
    path("runs/<uuid:run>/", views.run, name="run"),
    path("runs/<uuid:run>/comparison/", views.comparison, name="comparison"),
    path("runs/<uuid:run>/predictions.csv", views.predictions, name="predictions"),
]
